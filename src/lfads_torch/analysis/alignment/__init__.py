"""How sessions are brought together: shared averages, their components, each session onto them."""
