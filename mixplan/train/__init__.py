"""A plan's mixture in, a trained model out, through TRL; so far the reward that TRL's GRPO calls."""
