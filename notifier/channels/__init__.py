"""One adapter per provider behind one protocol: prepare, open, send. Never retries, never stores."""
