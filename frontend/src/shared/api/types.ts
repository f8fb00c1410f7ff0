import type { components } from "./schema";

type Schemas = components["schemas"];

export type Topic = Schemas["Topic"];
export type Connection = Schemas["Connection"];
export type GatewayNode = Schemas["Node"];
export type SourceOnNode = Schemas["SourceOnNode"];
export type Totals = Schemas["Totals"];
export type TopicPage = Schemas["TopicPage"];
export type ConnectionPage = Schemas["ConnectionPage"];
export type NodePage = Schemas["NodePage"];
export type SourcePage = Schemas["SourcePage"];
export type Transport = Connection["transport"];

/** The data of the events that a tail streams, by event type. */
export interface TailEvents {
  "gateway.open": Schemas["TailOpened"];
  "gateway.gap": Schemas["Gap"];
  "gateway.close": Schemas["Closing"];
  published: Schemas["EventObject"];
  dropped: Schemas["DroppedPublish"];
}
