// SPDX-License-Identifier: LGPL-2.1-or-later
//
// usage: java CountSamples RECORDING
//
// How many samples of threads a flight recording has: the JVM stops a thread
// for each by a signal that it sends to itself.
import java.nio.file.Path;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;

public class CountSamples {
  public static void main(String[] arguments) throws Exception {
    int samples = 0;
    for (RecordedEvent event : RecordingFile.readAllEvents(Path.of(arguments[0]))) {
      String name = event.getEventType().getName();
      if (name.equals("jdk.ExecutionSample") || name.equals("jdk.NativeMethodSample")) samples++;
    }
    System.out.println(samples);
  }
}
