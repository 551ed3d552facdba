/// Namespace marker, replaced as the target grows.
enum ExecutorCoreMarker {}
