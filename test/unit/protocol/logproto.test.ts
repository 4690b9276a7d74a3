import { expect } from 'chai';
import { encodeHttpGrpcStatus, encodePushRequest } from '../../../src/protocol/logproto.ts';

describe('logproto encoding', () => {
  it('writes a push with the numbers of Loki', () => {
    const entries = [{ timeNs: 1_000_000_002n, line: 'x', metadata: ['k', 'v'] }];
    expect(encodePushRequest({ streams: [{ labels: '{}', entries }] }).toString('hex')).to.equal(
      `0a17${'0a027b7d'}${'1211'}${'0a0408011002'}${'120178'}${'1a060a016b120176'}`,
    );
  });

  it('writes times before 1970 with nanoseconds that count forward', () => {
    const entries = [{ timeNs: -1n, line: '' }];
    expect(encodePushRequest({ streams: [{ labels: '', entries }] }).toString('hex')).to.equal(
      `0a19${'0a00'}${'1215'}${'0a11'}${'08ffffffffffffffffff01'}${'10ff93ebdc03'}${'1200'}`,
    );
  });

  it('writes the details of a refusal as httpgrpc does: the status twice, the text as body', () => {
    const type = Buffer.from('type.googleapis.com/httpgrpc.HTTPResponse').toString('hex');
    expect(encodeHttpGrpcStatus(429, 'no').toString('hex')).to.equal(
      `08ad03${'12026e6f'}1a34${'0a29'}${type}${'1207'}${'08ad03'}${'1a026e6f'}`,
    );
  });
});
