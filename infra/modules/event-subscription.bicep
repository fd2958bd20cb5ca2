// One subscription: registered models only, dead letters kept, retried for a day.

@description('Name of the subscription.')
param name string

@description('Name of the system topic, in this resource group.')
param systemTopicName string

@description('Id of the function app.')
param functionAppId string

@description('Id of the storage account that holds dead letters and the event queue.')
param storageAccountId string

@description('Container of the dead letters.')
param deadLetterContainer string

@description('Queue of the events, where delivery is queue.')
param eventQueue string

@description('How events come.')
param delivery string

@description('Models to hear of; empty for all.')
param models array

// By the subject, whose form is sure: the letter case of the keys under `data` is not, and a filter
// on a key that is not there drops the event silently. The colon makes the name exact.
var byModel = empty(models) ? [] : [
  {
    operatorType: 'StringBeginsWith'
    key: 'subject'
    values: map(models, model => 'models/${model}:')
  }
]
var toFunction = {
  endpointType: 'AzureFunction'
  properties: {
    resourceId: '${functionAppId}/functions/on_model_registered'
    maxEventsPerBatch: 1
    preferredBatchSizeInKilobytes: 64
  }
}
var toQueue = {
  endpointType: 'StorageQueue'
  properties: {
    resourceId: storageAccountId
    queueName: eventQueue
    queueMessageTimeToLiveInSeconds: 604800
  }
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: systemTopicName
}

resource registered 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: name
  properties: {
    eventDeliverySchema: 'CloudEventSchemaV1_0'
    destination: delivery == 'function' ? toFunction : null
    deliveryWithResourceIdentity: delivery == 'function' ? null : {
      identity: {
        type: 'SystemAssigned'
      }
      destination: toQueue
    }
    deadLetterWithResourceIdentity: {
      identity: {
        type: 'SystemAssigned'
      }
      deadLetterDestination: {
        endpointType: 'StorageBlob'
        properties: {
          resourceId: storageAccountId
          blobContainerName: deadLetterContainer
        }
      }
    }
    filter: {
      includedEventTypes: [
        'Microsoft.MachineLearningServices.ModelRegistered'
      ]
      advancedFilters: byModel
    }
    retryPolicy: {
      maxDeliveryAttempts: 30
      eventTimeToLiveInMinutes: 1440
    }
  }
}
