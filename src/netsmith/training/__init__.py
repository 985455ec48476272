"""The parts of :func:`netsmith.train.fit`."""
