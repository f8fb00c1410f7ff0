import { useLocation } from "@/shared/location";

import { readLast } from "./last";
import { TailView } from "./tail-view";
import { TopicChooser } from "./topic-chooser";

export function TailPage() {
  const { parameters } = useLocation();
  const topic = parameters.get("topic");
  const last = readLast(parameters.get("last"));
  return topic ? <TailView key={`${last} ${topic}`} topic={topic} last={last} /> : <TopicChooser />;
}
