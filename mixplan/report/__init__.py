"""Shows a plan and an outcome, on a page, in the terminal and in figures, and computes nothing."""
