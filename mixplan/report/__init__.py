"""Shows plans and outcomes on a page, in the terminal and in figures, and computes nothing."""
