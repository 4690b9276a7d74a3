import { WireWriter } from '../logproto.ts';

/** OTLP's ExportLogsServiceResponse{partial_success=1 {rejected_log_records=1, error_message=2}}. */
export const encodeExportResponse = (rejected: number, text: string): Buffer => {
  const writer = new WireWriter();
  writer.message(1, () => {
    writer.integer(1, BigInt(rejected));
    writer.bytes(2, text);
  });
  return writer.finish();
};

/** google.rpc.RetryInfo{retry_delay=1 Duration{seconds=1, nanos=2}}. */
export const encodeRetryInfo = (delayMs: number): Buffer => {
  const seconds = Math.floor(delayMs / 1000);
  const writer = new WireWriter();
  writer.message(1, () => {
    writer.integer(1, BigInt(seconds));
    writer.integer(2, BigInt(Math.round((delayMs - seconds * 1000) * 1_000_000)));
  });
  return writer.finish();
};
