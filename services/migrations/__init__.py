"""Tables of the services: ordinary rows, changeable and erasable. None is the record of money."""
