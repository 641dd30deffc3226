"""The check that everything a registry names is there and is what it says; `registry` checks all, `model` one model."""
