// SPDX-License-Identifier: BSD-3-Clause
// A virtio entropy source in JavaScript: gjs -m rng_backend.js SOCKET
import GLib from 'gi://GLib';
import Vhost from 'gi://Vhost?version=1';
import System from 'system';

const makeBytes = size => Uint8Array.from({length: size}, () => GLib.random_int_range(0, 256));

const rng = new Vhost.UserBackend({deviceId: Vhost.DeviceId.ENTROPY, nQueues: 1});
rng.connect('kick', (backend, queue) => {
  for (let chain = queue.pop(); chain !== null; chain = queue.pop())
    queue.push(chain, chain.write(0, makeBytes(chain.get_writable_size())));
  queue.notify();
});
rng.listen(System.programArgs[0]);
new GLib.MainLoop(null, false).run();
