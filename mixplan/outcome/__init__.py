"""A plan and what was measured of its run in, outcome.json out: what the job did, and how right the plan was."""
