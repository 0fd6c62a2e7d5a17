// SPDX-License-Identifier: LGPL-2.1-or-later
//
// usage: java EchoServer PORT
//
// A DatagramSocket on PORT and a DatagramChannel on PORT+1, each with a thread.
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.DatagramChannel;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.charset.StandardCharsets;

public class EchoServer {
  static byte[] reply(byte[] data, int length) {
    String request = new String(data, 0, length, StandardCharsets.UTF_8);
    return ("reply to " + request).getBytes(StandardCharsets.UTF_8);
  }

  static void serve(DatagramSocket socket) {
    byte[] buffer = new byte[2048];
    try {
      for (;;) {
        DatagramPacket packet = new DatagramPacket(buffer, buffer.length);
        socket.receive(packet);
        byte[] answer = reply(buffer, packet.getLength());
        socket.send(new DatagramPacket(answer, answer.length, packet.getSocketAddress()));
      }
    } catch (Exception error) {
      fail(error);
    }
  }

  static void serve(DatagramChannel channel) {
    ByteBuffer buffer = ByteBuffer.allocate(2048);
    try {
      Selector selector = Selector.open();
      channel.configureBlocking(false);
      channel.register(selector, SelectionKey.OP_READ);
      for (;;) {
        selector.select();
        selector.selectedKeys().clear();
        for (SocketAddress sender; (sender = channel.receive(buffer.clear())) != null;) {
          channel.send(ByteBuffer.wrap(reply(buffer.array(), buffer.position())), sender);
        }
      }
    } catch (Exception error) {
      fail(error);
    }
  }

  static void fail(Exception error) {
    error.printStackTrace();
    System.exit(1);
  }

  public static void main(String[] arguments) throws Exception {
    int port = Integer.parseInt(arguments[0]);
    DatagramSocket socket = new DatagramSocket(port);
    DatagramChannel channel = DatagramChannel.open().bind(new InetSocketAddress(port + 1));
    new Thread(() -> serve(socket)).start();
    new Thread(() -> serve(channel)).start();
    System.out.println("ready");
  }
}
