/** Limits out of the way, as for any benchmark of one tenant. */
export const UNLIMITED = {
  ingestion_rate_mb: 10_000,
  ingestion_burst_size_mb: 10_000,
  per_stream_rate_limit: '10GB',
  per_stream_rate_limit_burst: '10GB',
  max_global_streams_per_user: 1_000_000,
  max_query_series: 100_000,
};
