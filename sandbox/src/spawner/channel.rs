//! Packets of JSON with descriptors over a socket pair.
//!
//! Both ends are Belljar's own: the run cannot reach the socket. A packet that would not fit into a
//! socket's buffer travels as a memory file, whose descriptor comes last.

use std::{
    fs::File,
    io::{self, IoSlice, IoSliceMut, Read, Seek, Write},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

use nix::{
    cmsg_space,
    errno::Errno,
    sys::{
        memfd::{MFdFlags, memfd_create},
        socket::{
            AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType,
            UnixAddr, recvmsg, sendmsg, socketpair,
        },
    },
};
use serde::{Serialize, de::DeserializeOwned};

/// The longest message that travels in a packet, in bytes; sockets hold about 200 KiB by default.
const INLINE_MAX: usize = 64 << 10;
/// How many descriptors a message has at most, the memory file included.
const DESCRIPTORS_MAX: usize = 5;
/// The first byte of a packet that holds its message.
const INLINE: u8 = b'i';
/// The first byte of a packet whose message is in its last descriptor.
const IN_FILE: u8 = b'f';

/// A message could not be sent or received.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The socket.
    #[error("the spawner's socket failed")]
    Socket(#[from] Errno),
    /// The memory file of a long message.
    #[error("a long message's memory file failed")]
    Memory(#[from] io::Error),
    /// The message itself: the ends are of different builds.
    #[error("a message of the spawner's makes no sense")]
    Message(#[from] serde_json::Error),
    /// A packet that this end does not know.
    #[error("a packet of the spawner's makes no sense")]
    Packet,
}

/// One end.
#[derive(Debug)]
pub(super) struct Channel {
    socket: OwnedFd,
}

impl Channel {
    /// Both ends, closed on exec.
    pub(super) fn pair() -> Result<(Self, OwnedFd), Errno> {
        let (near, far) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        Ok((Self { socket: near }, far))
    }

    pub(super) fn from_socket(socket: OwnedFd) -> Self {
        Self { socket }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Sends a message whole, or nothing. Several threads may do so at a time.
    pub(super) fn send<T: Serialize>(
        &self,
        message: &T,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), ChannelError> {
        let mut packet = vec![INLINE];
        serde_json::to_writer(&mut packet, message)?;
        let mut raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let mut _file = None;
        if packet.len() > INLINE_MAX {
            let mut file = File::from(memfd_create(c"message", MFdFlags::MFD_CLOEXEC)?);
            file.write_all(&packet[1..])?;
            file.rewind()?;
            raw.push(file.as_raw_fd());
            _file = Some(file);
            packet = vec![IN_FILE];
        }
        let rights = [ControlMessage::ScmRights(&raw)];
        let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
        loop {
            let sent = sendmsg::<UnixAddr>(
                self.socket.as_raw_fd(),
                &[IoSlice::new(&packet)],
                control,
                MsgFlags::MSG_NOSIGNAL,
                None,
            );
            match sent {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Waits for a message. `None` when the other end is closed.
    pub(super) fn receive<T: DeserializeOwned>(
        &self,
    ) -> Result<Option<(T, Vec<OwnedFd>)>, ChannelError> {
        let mut packet = vec![0; INLINE_MAX + 1];
        let mut control = cmsg_space!([RawFd; DESCRIPTORS_MAX]);
        let (length, mut descriptors, is_cut) = loop {
            let mut buffer = [IoSliceMut::new(&mut packet)];
            let received = recvmsg::<UnixAddr>(
                self.socket.as_raw_fd(),
                &mut buffer,
                Some(&mut control),
                MsgFlags::MSG_CMSG_CLOEXEC,
            );
            match received {
                Ok(message) => {
                    let mut descriptors = Vec::new();
                    for control in message.cmsgs()? {
                        if let ControlMessageOwned::ScmRights(raw) = control {
                            descriptors.extend(raw.into_iter().map(crate::sys::take));
                        }
                    }
                    let cut = MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC;
                    break (message.bytes, descriptors, message.flags.intersects(cut));
                }
                Err(Errno::EINTR) => {}
                // So says a socket whose other end was closed with packets unread.
                Err(Errno::ECONNRESET) => return Ok(None),
                Err(errno) => return Err(errno.into()),
            }
        };
        if is_cut {
            return Err(ChannelError::Packet);
        }
        match packet[..length].split_first() {
            None => Ok(None),
            Some((&INLINE, text)) => Ok(Some((serde_json::from_slice(text)?, descriptors))),
            Some((&IN_FILE, _)) => {
                let mut text = Vec::new();
                let file = descriptors.pop().ok_or(ChannelError::Packet)?;
                File::from(file).read_to_end(&mut text)?;
                Ok(Some((serde_json::from_slice(&text)?, descriptors)))
            }
            Some(_) => Err(ChannelError::Packet),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_any_length_arrive_with_their_descriptors() {
        let (near, far) = Channel::pair().unwrap();
        let far = Channel::from_socket(far);
        let (mut reader, writer) = io::pipe().unwrap();
        for length in [0, 10, INLINE_MAX, 1 << 20] {
            let text = "x".repeat(length);
            near.send(&text, &[writer.as_fd()]).unwrap();
            let (arrived, descriptors): (String, _) = far.receive().unwrap().unwrap();
            assert_eq!(arrived, text);
            assert_eq!(descriptors.len(), 1);
            let mut pipe = File::from(descriptors.into_iter().next().unwrap());
            pipe.write_all(b"!").unwrap();
            let mut byte = [0];
            reader.read_exact(&mut byte).unwrap();
            assert_eq!(&byte, b"!");
        }
        drop(near);
        assert!(far.receive::<String>().unwrap().is_none());
    }

    #[test]
    fn a_packet_of_another_kind_is_refused() {
        let (near, far) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                .unwrap();
        nix::unistd::write(&near, b"?{}").unwrap();
        let received = Channel::from_socket(far).receive::<String>();
        assert!(matches!(received, Err(ChannelError::Packet)));
    }
}
