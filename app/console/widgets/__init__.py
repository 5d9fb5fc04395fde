"""The console's own widgets; they read the store and never call the engine."""
