"""The faces of the engine: what people and programs see of it."""
