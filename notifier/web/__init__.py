"""The HTTP process: what load balancers, Prometheus and, later, people and producers ask over HTTP."""
