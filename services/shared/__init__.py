"""What every process needs: settings, logs, connections, supervision."""
