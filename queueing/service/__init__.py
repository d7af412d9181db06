"""What a client can ask for, without HTTP: rules, then one step of the store, then effects."""
