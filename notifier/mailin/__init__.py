"""Take what comes back by mail: bounces, complaints, answers. A process of its own that never sends anything."""
