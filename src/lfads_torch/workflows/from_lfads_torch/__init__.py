"""The way in from lfads-torch of old: its configurations, checkpoints and data, into ours."""
