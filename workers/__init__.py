"""The Celery processes: thin tasks around the stages, the beat schedule, process signals."""
