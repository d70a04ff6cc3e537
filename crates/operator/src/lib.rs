//! Rotate, roll back, revoke and reconcile against a store: the library behind the operator's verbs
