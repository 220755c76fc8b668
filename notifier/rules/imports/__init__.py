"""Turn the configuration of other products into rules of ours."""
