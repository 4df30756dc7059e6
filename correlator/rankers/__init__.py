"""Rankers of suspects: each looks at one kind of evidence, behind one protocol."""
