"""The encoder recurrence: a gated recurrent unit over time. See README.md in this folder."""
