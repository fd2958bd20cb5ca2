// The event subscriptions, one per workspace. Event Grid refuses a function that is not there yet,
// so this is deployed after the code: https://github.com/Azure/bicep/issues/11656
targetScope = 'subscription'

@description('Ids of the system topics; an output of main.bicep.')
@minLength(1)
param systemTopicIds array

@description('Id of the function app; an output of main.bicep.')
param functionAppId string

@description('Id of the storage account that holds dead letters and the event queue; an output of main.bicep.')
param storageAccountId string

@description('Container of the dead letters; an output of main.bicep.')
param deadLetterContainer string

@description('Queue of the events, where delivery is queue; an output of main.bicep.')
param eventQueue string

@description('How events come; as in main.bicep.')
@allowed([
  'function'
  'queue'
])
param delivery string = 'function'

@description('Name of the subscriptions: give each installation on the same workspace its own.')
@minLength(3)
@maxLength(64)
param subscriptionName string = 'rollouts'

@description('Models to hear of, 25 at most; empty for all. Policies decide anyway: this only spares calls.')
@maxLength(25)
param models array = []

module subscriptions 'modules/event-subscription.bicep' = [for (id, index) in systemTopicIds: {
  name: 'subscription-${uniqueString(functionAppId)}-${index}'
  scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
  params: {
    name: subscriptionName
    systemTopicName: last(split(id, '/'))
    functionAppId: functionAppId
    storageAccountId: storageAccountId
    deadLetterContainer: deadLetterContainer
    eventQueue: eventQueue
    delivery: delivery
    models: models
  }
}]
