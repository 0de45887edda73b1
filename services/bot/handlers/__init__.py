"""One router per feature; their order is the dispatcher's."""
