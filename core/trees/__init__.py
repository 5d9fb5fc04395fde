"""Trees of files from tars and to tars. Everything but launch.py runs in a short-lived process of its own."""
