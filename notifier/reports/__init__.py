"""Answer people's questions about what happened: search the log, tell a story, say why."""
