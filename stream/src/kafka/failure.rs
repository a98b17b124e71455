//! What a reader does about an error of librdkafka. A record that cannot be read is never skipped: the process ends.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

pub(super) enum Failure {
    /// Not one: the end of the partition.
    End,
    /// librdkafka goes on by itself, and has logged it.
    Passing,
    /// Another member has our name in the group, or a request to join that was sent twice has made the broker think so.
    Displaced,
    /// End the process, with this sentence.
    Fatal(String),
}

pub(super) fn of(error: &KafkaError) -> Failure {
    match error {
        KafkaError::PartitionEOF(_) => Failure::End,
        KafkaError::MessageConsumptionFatal(Code::FencedInstanceId) => Failure::Displaced,
        KafkaError::MessageConsumptionFatal(code) => Failure::Fatal(format!("the Kafka consumer has ended: {code}")),
        other => match other.rdkafka_error_code() {
            Some(code @ (Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition)) => {
                Failure::Fatal(format!("a topic is not there ({code}): run `roost init`"))
            }
            Some(
                code @ (Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::ClusterAuthorizationFailed),
            ) => Failure::Fatal(format!("the brokers do not allow it ({code}): look at the access rules of this user")),
            Some(
                code @ (Code::BadMessage | Code::BadCompression | Code::MessageSizeTooLarge | Code::InvalidMessage),
            ) => Failure::Fatal(format!("a batch on the log cannot be read ({code}): look at the brokers' disks")),
            _ => Failure::Passing,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_batch_is_never_skipped() {
        assert!(matches!(of(&KafkaError::MessageConsumption(Code::BadMessage)), Failure::Fatal(_)));
    }

    #[test]
    fn brokers_that_are_away_for_now_are_waited_for() {
        assert!(matches!(of(&KafkaError::MessageConsumption(Code::AllBrokersDown)), Failure::Passing));
    }
}
