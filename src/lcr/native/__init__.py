"""Components that are shared objects: how they are read, loaded, called and replaced."""
