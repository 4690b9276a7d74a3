/** Streams and entries stay as they were pushed: for tests that compare them with what they sent. */
export const PLAIN_LIMITS = { discover_service_name: [], discover_log_levels: false } as const;
