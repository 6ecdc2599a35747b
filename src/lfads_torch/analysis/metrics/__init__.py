"""Every score, as functions of NumPy arrays: nothing here knows of models, files or devices."""
