"""What runs beside the containers: spawner, monitors, the first process's way inside. Standard library only."""
