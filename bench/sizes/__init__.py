"""What numbers of any size cost, in one run on the real processes. `python -m bench sizes --help`."""
