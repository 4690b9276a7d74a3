import { expect } from 'chai';
import { bytesOfText } from '../../../src/protocol/byte-text.ts';
import { labelSetOf, parseLabelPairs } from '../../../src/protocol/label-text.ts';
import { DEFAULT_LIMITS } from '../../../src/protocol/limits.ts';
import { withServiceName } from '../../../src/protocol/service-name.ts';

const named = (text: string, names = DEFAULT_LIMITS.discoverServiceName): string =>
  labelSetOf(withServiceName(parseLabelPairs(bytesOfText(text)), names)).canonical;

describe('the service name of a stream', () => {
  it('is the value of the first label of the list that it has', () => {
    expect(named('{job="j", app="shop"}')).to.equal('{app="shop", job="j", service_name="shop"}');
  });

  it('is not that of a label without a value, and an empty one of its own is as none', () => {
    expect(named('{app="", job="j"}')).to.equal('{job="j", service_name="j"}');
    expect(named('{app="x", service_name=""}')).to.equal('{app="x", service_name="x"}');
  });

  it('is that of the first of two labels with one name', () => {
    expect(named('{app="b", job="j", app="a"}')).to.equal('{app="b", app="a", job="j", service_name="b"}');
  });

  it('says that it is not known where it has none of them', () => {
    expect(named('{host="h"}')).to.equal('{host="h", service_name="unknown_service"}');
  });

  it('is left as it came, and so are streams that Loki writes for itself', () => {
    expect(named('{app="x", service_name="own"}')).to.equal('{app="x", service_name="own"}');
    expect(named('{__pattern__="x"}')).to.equal('{__pattern__="x"}');
  });

  it('is not added where the list is empty', () => {
    expect(named('{app="x"}', [])).to.equal('{app="x"}');
  });
});
