"""Methods, step control and loops: what carries one run from t0 to t1."""
