"""A study file in, a table of targets by domains by seeds and what it says of each forecast out."""
