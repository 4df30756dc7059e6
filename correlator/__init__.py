"""From alerts to incidents: grouping, topology, root-cause hints, lifecycle."""
