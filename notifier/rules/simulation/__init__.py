"""Run rules on a virtual clock: the pipeline's twin in memory, exact to the microsecond. Sends and stores nothing."""
