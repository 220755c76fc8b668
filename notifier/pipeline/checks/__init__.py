"""Look whether everything around us is as it must be: for doctor and readiness."""
