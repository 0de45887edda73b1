"""The models' circuits."""
