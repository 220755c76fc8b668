"""Read what comes back by mail or callback: bounces, complaints, automatic answers. Pure."""
