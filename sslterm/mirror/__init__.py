"""What a run directory tells, written again in the forms of other viewers."""
