#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A virtio SCSI host adapter with one disk, target 0, kept in an image file."""

import os
import struct

import serve
from gi.repository import GLib, Vhost

BLOCK = 512
COMMAND = struct.Struct("<BBH4xQBBB32s")  # 1, target, lun; tag; attribute, priority, crn; CDB
RESPONSE = struct.Struct("<IIHBB96s")  # sizes of sense and residue, qualifier, status, response
TMF = struct.Struct("<II8sQ")
S_OK, S_OVERRUN, S_BAD_TARGET, S_REJECTED, S_INCORRECT_LUN = 0, 1, 3, 11, 12
T_TMF, T_AN_QUERY, T_AN_SUBSCRIBE = range(3)
CHANGE = 2  # feature
CONTROL, EVENTS = 0, 1  # queues; the others carry commands
GOOD, CHECK_CONDITION = 0, 2
TEST_UNIT_READY, REQUEST_SENSE, INQUIRY, MODE_SENSE, START_STOP = 0x00, 0x03, 0x12, 0x1A, 0x1B
READ_CAPACITY, READ_10, WRITE_10, SYNC_CACHE, MODE_SENSE_10 = 0x25, 0x28, 0x2A, 0x35, 0x5A
READ_16, WRITE_16, SERVICE_IN, REPORT_LUNS = 0x88, 0x8A, 0x9E, 0xA0
READ_CAPACITY_16 = 0x10  # service action


class Sense(Exception):
    """Why a command fails: sense key, additional sense code and its qualifier."""


NOT_SUPPORTED = Sense(5, 0x20, 0)
OUT_OF_RANGE = Sense(5, 0x21, 0)
INVALID_FIELD = Sense(5, 0x24, 0)
NO_SUCH_LUN = Sense(5, 0x25, 0)
MEDIUM_ERROR = Sense(3, 0x11, 0)
NO_SENSE = Sense(0, 0, 0)


def pack_sense(sense):
    key, code, qualifier = sense.args
    return struct.pack(">BxB4xB4xBB4x", 0x70, key, 10, code, qualifier)


class Overrun(Exception):
    """The driver's buffer is smaller than what its command moves."""


class Disk:
    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self.blocks = os.lseek(self.fd, 0, os.SEEK_END) // BLOCK
        self.commands = {
            TEST_UNIT_READY: lambda cdb: b"", START_STOP: lambda cdb: b"",
            REQUEST_SENSE: lambda cdb: pack_sense(NO_SENSE)[:cdb[4]],
            INQUIRY: self.inquire, MODE_SENSE: lambda cdb: b"\x03\0\0\0"[:cdb[4]],
            MODE_SENSE_10: lambda cdb: b"\0\x06\0\0\0\0\0\0"[:cdb[7] << 8 | cdb[8]],
            READ_CAPACITY: lambda cdb: struct.pack(">II", min(self.blocks - 1, 0xFFFFFFFF), BLOCK),
            SERVICE_IN: self.serve_in, SYNC_CACHE: self.flush,
            REPORT_LUNS: lambda cdb: struct.pack(">I12x", 8)[:int.from_bytes(cdb[6:10], "big")],
        }

    def inquire(self, cdb):
        pages = {0x00: b"\0\x80\x83", 0x80: b"libvhost-1",
                 0x83: b"\x02\x01\0\x13libvhost-scsi-disk1"}  # ASCII, T10 vendor, 19 bytes
        size = cdb[3] << 8 | cdb[4]
        if not cdb[1] & 1:
            data = struct.pack(">BBBBBxxB8s16s4s", 0, 0, 5, 2, 31, 2, b"LIBVHOST",
                               b"EXAMPLE DISK".ljust(16), b"1.0 ")
            return data[:size]
        if cdb[2] not in pages:
            raise INVALID_FIELD
        page = pages[cdb[2]]
        return (struct.pack(">BBH", 0, cdb[2], len(page)) + page)[:size]

    def serve_in(self, cdb):
        if cdb[1] & 31 != READ_CAPACITY_16:
            raise NOT_SUPPORTED
        return struct.pack(">QI20x", self.blocks - 1, BLOCK)[:int.from_bytes(cdb[10:14], "big")]

    def flush(self, cdb):
        os.fdatasync(self.fd)
        return b""

    def move(self, chain, cdb):
        """READ and WRITE: no byte passes through Python. Returns how many were moved."""
        write = cdb[0] in (WRITE_10, WRITE_16)
        first, count = struct.unpack(*((">xxQI", cdb[:14]) if cdb[0] in (READ_16, WRITE_16)
                                       else (">xxIxH", cdb[:9])))
        if first + count > self.blocks:
            raise OUT_OF_RANGE
        done, size = 0, count * BLOCK
        if size > (chain.get_readable_size() - COMMAND.size if write
                   else chain.get_writable_size() - RESPONSE.size):
            raise Overrun
        while done < size:
            place = (size - done, self.fd, first * BLOCK + done)
            n = (chain.read_to_fd(COMMAND.size + done, *place) if write
                 else chain.write_from_fd(RESPONSE.size + done, *place))
            if n == 0:
                raise MEDIUM_ERROR
            done += n
        return 0 if write else done

    def serve(self, chain, lun, cdb):
        """One command; returns how many bytes of data it gave to the driver."""
        if lun and cdb[0] not in (INQUIRY, REPORT_LUNS, REQUEST_SENSE):
            raise NO_SUCH_LUN
        if cdb[0] in (READ_10, WRITE_10, READ_16, WRITE_16):
            return self.move(chain, cdb)
        if cdb[0] not in self.commands:
            raise NOT_SUPPORTED
        data = self.commands[cdb[0]](cdb)
        if lun and cdb[0] == INQUIRY:
            data = b"\x7f" + data[1:]  # nothing is there
        return chain.write(RESPONSE.size, data)


class Adapter:
    def __init__(self, disk):
        self.disk = disk

    def run_command(self, chain):
        """Serves one command; returns the length of the response and its data."""
        request = chain.read(0, COMMAND.size)
        room = chain.get_writable_size() - RESPONSE.size
        if len(request) < COMMAND.size or room < 0:
            return 0  # nowhere to say what became of it
        one, target, lun, *_, cdb = COMMAND.unpack(request)
        chain.fill(0, 0, RESPONSE.size)
        moved, sense, status, response = 0, b"", GOOD, S_OK
        if one != 1 or target != 0:
            response = S_BAD_TARGET
        else:
            try:
                moved = self.disk.serve(chain, lun & 0xFF3F, cdb)  # 0x40: the flat form
            except Overrun:
                response = S_OVERRUN
            except Sense as error:
                sense, status = pack_sense(error), CHECK_CONDITION
            except (GLib.Error, OSError):
                sense, status = pack_sense(MEDIUM_ERROR), CHECK_CONDITION
        left = min(room - moved, 0xFFFFFFFF)
        chain.write(0, RESPONSE.pack(len(sense), left, 0, status, response, sense))
        return RESPONSE.size + moved

    def control(self, chain):
        """Commands are over when they return, so that there never is one to abort."""
        request = chain.read(0, TMF.size)
        kind = int.from_bytes(request[:4], "little")
        if kind == T_TMF and len(request) == TMF.size:
            lun = request[8:16]
            return bytes([S_OK if lun[:2] == b"\1\0" else S_INCORRECT_LUN])
        if kind in (T_AN_QUERY, T_AN_SUBSCRIBE):
            return bytes(5)  # no event, S_OK
        return bytes([S_REJECTED])

    def on_kick(self, backend, queue):
        if queue.get_index() == EVENTS:
            return  # the driver's buffers stay there: nothing ever happens
        while (chain := queue.pop()) is not None:
            if queue.get_index() == CONTROL:
                queue.push(chain, chain.write(0, self.control(chain)))
            else:
                queue.push(chain, self.run_command(chain))
        queue.notify()


def main():
    parser = serve.parser(__doc__, "scsi")
    parser.add_argument("--num-queues", type=int, default=1, help="for commands (%(default)s)")
    parser.add_argument("image", help="file or block device")
    options = parser.parse_args()
    try:
        disk = Disk(options.image)
    except OSError as error:
        serve.fail(f"{options.image}: {error.strerror}")
    if disk.blocks == 0:
        serve.fail(f"{options.image}: less than one block")
    scsi = Vhost.UserBackend(device_id=Vhost.DeviceId.SCSI, n_queues=2 + options.num_queues)
    scsi.set_config(struct.pack("<7IHHI", options.num_queues, 126, 65535, 128, 16, 96, 32, 0, 0, 0))
    scsi.add_feature(CHANGE)  # QEMU 7.2 takes it to be there
    scsi.connect("kick", Adapter(disk).on_kick)
    serve.run(scsi, options)


if __name__ == "__main__":
    main()
