import { useLocation } from "@/shared/location";

import { TailView } from "./tail-view";
import { TopicChooser } from "./topic-chooser";

export function TailPage() {
  const topic = useLocation().parameters.get("topic");
  return topic ? <TailView key={topic} topic={topic} /> : <TopicChooser />;
}
