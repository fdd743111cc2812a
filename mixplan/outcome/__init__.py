"""Trains and measures a planned run, and records in outcome.json what the job did and how right the plan was."""
