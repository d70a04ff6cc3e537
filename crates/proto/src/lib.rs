//! Generated gRPC types of `openshell.v1` and `keystile.v1`.
